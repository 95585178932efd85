-- Greets and adds up. Reads the two members that it needs from the JSON.
local name = json:match('"name"%s*:%s*"([^"]*)"') or error("no member name", 0)
local n = tonumber(json:match('"n"%s*:%s*(%d+)'))
local ok, message = pcall(function() error("caught", 0) end)
assert(not ok and message == "caught")
local sum = 0
for each = 1, n do sum = sum + each end
io.write(string.format('{"message":"Hello, %s!","sum":%d}\n', name, sum))
