-- Sets a property inside a JSON value by decoding and encoding all of it with cjson: the way that
-- nested sets are compared with. Changes values (empty arrays, large integers, order of keys).
--
-- KEYS[1]    string: the JSON text
-- ARGV[1]    the new value, JSON text
-- ARGV[2..]  the path: `n:` and a name, or `i:` and an index that counts from 0
-- reply      1

local text = redis.call('GET', KEYS[1])
local root = text and cjson.decode(text) or {}

local function key_of(segment)
  local rest = string.sub(segment, 3)
  if string.sub(segment, 1, 2) == 'i:' then return tonumber(rest) + 1 end
  return rest
end

local parent = root
for index = 2, #ARGV - 1 do
  local key = key_of(ARGV[index])
  if type(parent[key]) ~= 'table' then parent[key] = {} end
  parent = parent[key]
end
parent[key_of(ARGV[#ARGV])] = cjson.decode(ARGV[1])

redis.call('SET', KEYS[1], cjson.encode(root))
return 1
