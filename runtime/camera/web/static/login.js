// Says so where a token was wrong.

if (location.search === "?wrong") {
  const token = document.getElementById("token");
  document.getElementById("message").textContent = "That token is not right.";
  token.setAttribute("aria-invalid", "true");
  token.setAttribute("aria-describedby", "message");
}
