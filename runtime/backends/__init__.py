"""One file per inference library; `runtime.backend` holds the contract and the table."""
