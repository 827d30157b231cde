"""An ONNX graph from elsewhere is what it claims to be: checked before any native library sees it.

ONNX's own checker stops at the first fault with a message that seldom names the node, and believes every size. Here the
file, the node and its operator are named, and what a tensor claims is counted before memory is taken for it.
"""

from __future__ import annotations

import math
from pathlib import Path

import onnx
from onnx import AttributeProto, defs

from export.describe import described, require_names, shown
from export.order import sort_nodes
from export.skeleton import skeleton
from export.tensors import require_tensor
from runtime.errors import ModelError

MOST_NODES = 20_000  # of a classifier; each takes 0.4 ms to be read, raised, opened and run
MOST_BYTES = (1 << 31) - 1  # protobuf's limit, weights included
MOST_IN_ROWS = 1 << 22  # of all tensors with one side: ONNX computes with each element, 60 bytes, as with a shape's
MOST_ELEMENTS = 1 << 26  # of one activation for one image: 256 MB in float32, 64 maps of 1024x1024
STANDARD = ("", "ai.onnx.ml")
KNOWN_DOMAINS = (*STANDARD, "com.microsoft")  # whose operators ONNX Runtime has


def require_sound(path: Path, model: onnx.ModelProto) -> None:
    """Hold a graph to what ONNX says of graphs, and put its nodes in order.

    Args:
        path: its file, for the message.
        model: with weights in other files not read yet; its nodes are sorted where they are not.

    Raises:
        ModelError: there is a fault; file, node and operator are named, where there is one to blame.
    """
    try:
        graph = model.graph
        if len(graph.node) > MOST_NODES:
            raise ModelError(
                f"it has {len(graph.node):,} nodes, and {MOST_NODES:,} are read at most",
                "give a classifier: the largest have a few thousand nodes",
            )
        require_versions(model)
        for node in graph.node:
            attributes = (entry.name for entry in node.attribute)
            require_names(described(node), node.op_type, node.domain, node.name, *node.input, *node.output, *attributes)
            if node.domain == "ai.onnx":
                node.domain = ""
            require_operator(node, opset_of(model, node.domain))
        require_input(graph)
        require_weights(graph)
        sort_nodes(graph)
        require_shapes(model)
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", error.hint) from error


def require_versions(model: onnx.ModelProto) -> None:
    """The versions of the format and of its operators are known here, and said once."""
    newest, newest_ir = defs.onnx_opset_version(), int(onnx.IR_VERSION)
    if not 1 <= model.ir_version <= newest_ir:
        raise ModelError(
            f"its IR version is {model.ir_version}, and 1 to {newest_ir} are known here", "export it again"
        )
    seen = set()
    require_names("it", model.graph.name, *(entry.domain for entry in model.opset_import))
    for entry in model.opset_import:
        if entry.domain == "ai.onnx":
            entry.domain = ""
        if entry.domain in seen:
            raise ModelError(f"it names the opset of {shown(entry.domain)} twice", "export it again")
        seen.add(entry.domain)
        if not 1 <= entry.version <= (newest if not entry.domain else 1 << 31):
            raise ModelError(f"its opset is {entry.version}, and 1 to {newest} are known here", "export it again")
    if "" not in seen:
        raise ModelError("it does not say which opset its operators are of", "export it again")


def opset_of(model: onnx.ModelProto, domain: str) -> int:
    """Of a domain; 0 where the model does not say."""
    return next((int(entry.version) for entry in model.opset_import if entry.domain == domain), 0)


def require_operator(node: onnx.NodeProto, opset: int) -> None:
    """The operator is known, and the node has the inputs, outputs and attributes that it takes."""
    if node.domain not in KNOWN_DOMAINS:
        raise ModelError(
            f"{described(node)} is of the domain {shown(node.domain)}, whose operators no backend has",
            "export it with ONNX's own operators",
        )
    if node.domain not in STANDARD:
        return  # ONNX Runtime judges its own
    try:
        schema = defs.get_schema(node.op_type, max(opset, 1), node.domain)
    except defs.SchemaError as error:
        raise ModelError(
            f"{described(node)}: opset {opset} has no such operator", "export it with ONNX's own operators"
        ) from error
    if schema.deprecated:
        raise ModelError(f"{described(node)}: opset {opset} has this operator no longer", "export it again")
    for what, names, least, most in (
        ("inputs", node.input, schema.min_input, schema.max_input),
        ("outputs", node.output, schema.min_output, schema.max_output),
    ):
        if not least <= len(names) <= most:
            wanted = f"{least}" if least == most else f"{least} or more" if most > 1 << 20 else f"{least} to {most}"
            raise ModelError(f"{described(node)} has {len(names)} {what}, and takes {wanted}", "export it again")
    optional = defs.OpSchema.FormalParameterOption.Optional
    for index, name in enumerate(node.input):
        formal = schema.inputs[min(index, len(schema.inputs) - 1)]  # the last one may stand for many
        if not name and formal.option != optional:
            raise ModelError(f"{described(node)} lacks its input {formal.name}", "export it again")
    require_attributes(node, schema)


FIELDS = {
    "FLOAT": "f", "INT": "i", "STRING": "s", "TENSOR": "t", "GRAPH": "g", "SPARSE_TENSOR": "sparse_tensor",
    "TYPE_PROTO": "tp", "FLOATS": "floats", "INTS": "ints", "STRINGS": "strings", "TENSORS": "tensors",
    "GRAPHS": "graphs", "SPARSE_TENSORS": "sparse_tensors", "TYPE_PROTOS": "type_protos",
}  # fmt: skip


def require_attributes(node: onnx.NodeProto, schema: defs.OpSchema) -> None:
    """Attributes are those of the operator, each once, and of its kind."""
    seen = set()
    for entry in node.attribute:
        what = f"{described(node)}: its attribute {shown(entry.name)}"
        if entry.name in seen:
            raise ModelError(f"{what} is there twice", "export it again")
        seen.add(entry.name)
        if entry.name not in schema.attributes:
            raise ModelError(f"{what} is none of this operator", "export it again")
        wanted = str(schema.attributes[entry.name].type).rpartition(".")[2]  # AttrType.INTS
        given = AttributeProto.AttributeType.Name(entry.type)
        held = {field for kind, field in FIELDS.items() if kind != wanted and filled(entry, field)}
        if given != wanted or held or entry.ref_attr_name:
            raise ModelError(f"{what} is {given}, and should be {wanted}", "export it again")
    for name, formal in schema.attributes.items():
        if formal.required and name not in seen:
            raise ModelError(f"{described(node)} lacks its attribute {name}", "export it again")


def filled(entry: onnx.AttributeProto, field: str) -> bool:
    """Whether an attribute holds something there."""
    return len(getattr(entry, field)) > 0 if field.endswith("s") and field != "s" else entry.HasField(field)


def require_input(graph: onnx.GraphProto) -> None:
    """Sides of inputs and outputs are sizes; 0 and -1, as some exporters write them, stand for any."""
    for entry in (*graph.input, *graph.output):
        require_names("one of its inputs and outputs", entry.name)
        for size in entry.type.tensor_type.shape.dim:
            require_names(f"a side of its input or output {shown(entry.name)}", size.dim_param)
            if size.dim_value < -1:
                raise ModelError(
                    f"its input or output {shown(entry.name)} has a side of {size.dim_value}", "export it again"
                )
            if size.HasField("dim_value") and size.dim_value < 1:
                size.ClearField("dim_value")


def require_weights(graph: onnx.GraphProto) -> None:
    """Every constant is of a known type, and holds as much as its shape says."""
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        raise ModelError(f"its weight {shown(name)} is a sparse tensor", "export it with dense weights")
    users = {name: node for node in graph.node for name in node.input}
    total, seen = 0, set()
    for tensor in graph.initializer:
        user = users.get(tensor.name)
        where = f"its weight {shown(tensor.name)}" + (f" of {described(user)[4:]}" if user else "")
        if not tensor.name or tensor.name in seen:
            raise ModelError(f"{where} {'is there twice' if tensor.name else 'has no name'}", "export it again")
        require_names(where, tensor.name)
        seen.add(tensor.name)
        total += require_tensor(tensor, where)
    for node in graph.node:
        for entry in node.attribute:
            held = [entry.t] if entry.HasField("t") else []
            for tensor in (*held, *entry.tensors):
                total += require_tensor(tensor, f"{described(node)}: its attribute {shown(entry.name)}")
    if total > MOST_BYTES:
        raise ModelError(f"its weights claim {total / 1e9:.1f} GB", "an ONNX model has at most 2 GB")


def require_shapes(model: onnx.ModelProto) -> None:
    """No shape is absurd: a few bytes can ask for terabytes (Expand, Tile, Pad, Resize).

    What depends on values that only a run shows, is not seen here.
    """
    small = skeleton(model)
    for output in small.graph.output:
        output.ClearField("type")  # what a file says of them is not to be believed
    try:
        require_sizes(model, onnx.shape_inference.infer_shapes(small).graph)
        # And now computed ones, too.
        require_sizes(model, onnx.shape_inference.infer_shapes(small, data_prop=True).graph)
    except (ModelError, MemoryError):
        raise
    except Exception:  # what does not fit together, ONNX Runtime says, too, and it is the judge
        return


def require_sizes(model: onnx.ModelProto, inferred: onnx.GraphProto) -> None:
    """The same, of the shapes that were inferred."""
    makers = {name: node for node in model.graph.node for name in node.output}
    weights = {tensor.name for tensor in model.graph.initializer}
    rows = 0
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        if value.name in weights:
            continue
        shape = value.type.tensor_type.shape.dim
        elements = math.prod(max(size.dim_value, 1) for size in shape)
        rows += elements if len(shape) == 1 else 0
        if elements > MOST_ELEMENTS or rows > MOST_IN_ROWS:
            what = f"{described(makers[value.name])} makes" if value.name in makers else "its input is"
            sides = "x".join(str(size.dim_value or "?") for size in shape[:8])
            raise ModelError(f"{what} a tensor of {sides}, which is too large", "give a classifier of images")
