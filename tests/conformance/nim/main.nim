## Greets and adds up; an exception passes through a call.
import std/[json, strutils]

{.compile: "start.c".}

proc number(text: string): int =
  if text == "x": raise newException(ValueError, "on purpose")
  parseInt(text)

let params = parseJson(stdin.readAll)
var sum = 0
for each in 1 .. params["n"].getInt: sum += number($each)
var caught = false
try: discard number("x")
except ValueError: caught = true
doAssert caught
echo $(%*{"message": "Hello, " & params["name"].getStr & "!", "sum": sum})
