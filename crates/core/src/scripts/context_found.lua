-- Looks at properties of context that were found by their keys.
-- KEYS  1 scopes (set)  then for each property: names of its scope (sorted set), its key, the key that
--       it was found under (the same one, unless the prefix stands twice in it)
-- ARGV  for each property: its scope, its name
-- Reply for each property: 1 or 0 its name and its scope are known,
--       type and length of its key, type and length of the key that it was found under
local function type_and_length(key)
  local kind = redis.call('TYPE', key).ok
  return kind, kind == 'string' and redis.call('STRLEN', key) or 0
end
local replies = {}
for place = 2, #KEYS, 3 do
  local argument = (place - 2) / 3 * 2 + 1
  local known = redis.call('ZSCORE', KEYS[place], ARGV[argument + 1])
    and redis.call('SISMEMBER', KEYS[1], ARGV[argument]) == 1
  local kind, length = type_and_length(KEYS[place + 1])
  local found_kind, found_length = type_and_length(KEYS[place + 2])
  replies[#replies + 1] = { known and 1 or 0, kind, length, found_kind, found_length }
end
return replies
