-- Writes the outcome of updates, if none of the properties they depend on was changed since it was read.
-- KEYS  1 receipt (string)  2 scopes (set)  then for each property: its value (string), its scope's names (zset)
-- ARGV  1 what to leave in the receipt, '' for none  2 the receipt's lifetime in ms
--       then for each property 15 fields: name, scope, time of the first set in µs;
--         what is expected: 'absent', 'whole' (first: the value), 'tail' (first: its end) or 'ends' (first and
--         second: how it begins and ends), first, second;
--         what to do: 'keep', 'remove', 'whole' (value) or 'splice', which moves no more of a large value than it
--         must (at `at` comes the value, then `tail` bytes of the old value from `from` on, then `blanks` spaces;
--         at `last` comes the stamp), value, at, from, tail, blanks, last, stamp;
--         1 if it was removed before it is set, which gives its name a new place, else 0
-- Reply {1, then 1 or 0 for each property: whether its name was added or removed}, or {0, then for each property
--       1 if it is as expected, else its value or nil}
local FIELDS = 15
local properties = (#KEYS - 2) / 2
local reply = {1}

local function fields(property)
  local first = 3 + (property - 1) * FIELDS
  return unpack(ARGV, first, first + FIELDS - 1)
end

for property = 1, properties do
  local key = KEYS[1 + 2 * property]
  local _, _, _, expected, first, second = fields(property)
  local same
  if expected == 'absent' then
    same = redis.call('EXISTS', key) == 0
  elseif expected == 'whole' then
    same = redis.call('GET', key) == first
  elseif expected == 'tail' then
    same = redis.call('GETRANGE', key, -#first, -1) == first
  else
    same = redis.call('GETRANGE', key, 0, #first - 1) == first
      and redis.call('GETRANGE', key, -#second, -1) == second
  end
  if same then
    reply[1 + property] = 1
  else
    reply[1] = 0
    reply[1 + property] = redis.call('GET', key)
  end
end
if reply[1] == 0 then
  return reply
end

-- First of all, as a script is not rolled back: where it is refused (the store is full) nothing was written.
if ARGV[1] ~= '' then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
for property = 1, properties do
  local key, names = KEYS[1 + 2 * property], KEYS[2 + 2 * property]
  local name, scope, time, _, _, _, what, value, at, from, tail, blanks, last, stamp, renewed = fields(property)
  local renamed = 0
  if renewed == '1' then
    renamed = redis.call('ZREM', names, name)
  end
  if what == 'remove' then
    redis.call('DEL', key)
    renamed = redis.call('ZREM', names, name)
  elseif what == 'splice' then
    if tail ~= '0' then
      value = value .. redis.call('GETRANGE', key, from, from + tail - 1)
    end
    redis.call('SETRANGE', key, at, value .. string.rep(' ', blanks))
    redis.call('SETRANGE', key, last, stamp)
  elseif what == 'whole' then
    redis.call('SET', key, value)
  end
  if what == 'splice' or what == 'whole' then
    if redis.call('ZADD', names, 'NX', time, name) == 1 then
      redis.call('SADD', KEYS[2], scope)
      renamed = 1
    end
  end
  reply[1 + property] = renamed
end
return reply
