// Posts what the link carries; a button has to be pressed, since programs that look at mails follow links as well.
"use strict";
const secret = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
const form = document.getElementById("form");
const said = document.getElementById("said");
const say = (text) => { said.textContent = text; };
if (!secret) {
  form.hidden = true;
  say("This link is not whole. Copy all of it from the mail.");
}
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const password = document.getElementById("password");
  const body = password ? { secret, password: password.value } : { secret };
  try {
    const answer = await fetch(form.dataset.to, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (answer.ok) {
      form.hidden = true;
      say(form.dataset.done);
    } else {
      const problem = await answer.json();
      say(problem.detail || "The node refused.");
    }
  } catch {
    say("The node did not answer. Try again.");
  }
});
