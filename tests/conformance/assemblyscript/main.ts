// Greets and adds up. Reads the two members that it needs from the JSON on stdin.
function member(json: string, name: string): string {
  const at = json.indexOf('"' + name + '"');
  if (at < 0) throw new Error("no member " + name);
  let from = json.indexOf(":", at) + 1;
  while (json.charAt(from) == " ") from++;
  if (json.charAt(from) == '"') return json.substring(from + 1, json.indexOf('"', from + 1));
  let to = from;
  while (to < json.length && json.charAt(to) != "," && json.charAt(to) != "}") to++;
  return json.substring(from, to).trim();
}

const buffer = new ArrayBuffer(65536);
const length = process.stdin.read(buffer);
const json = String.UTF8.decode(buffer.slice(0, length));
const n = i32(parseInt(member(json, "n")));
let sum = 0;
for (let each = 1; each <= n; each++) sum += each;
process.stdout.write('{"message":"Hello, ' + member(json, "name") + '!","sum":' + sum.toString() + "}\n");
