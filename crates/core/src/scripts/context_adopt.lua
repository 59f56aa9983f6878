-- Gives properties of context their key, and their names a place in the lists of names.
-- KEYS  1 scopes (set)  then for each property: names of its scope (sorted set), its key, the key that
--       it was found under (the same one, unless the prefix stands twice in it)
-- ARGV  1 'keep' or 'overwrite' another value that its key holds  then for each property: its scope, its name
-- Reply for each property: 'registered' nothing had to be moved, 'moved', 'replaced' another value,
--       'dropped' its key holds the same value, 'conflict' its key holds something else, 'gone' nothing is there
local function holds_text(key)
  return redis.call('TYPE', key).ok == 'string'
end
local function same(one, other)
  return redis.call('STRLEN', one) == redis.call('STRLEN', other)
    and redis.call('GET', one) == redis.call('GET', other)
end
local function outcome(key, found)
  if not holds_text(found) then
    return 'gone'
  elseif key == found then
    return 'registered'
  elseif redis.call('EXISTS', key) == 0 then
    return 'moved'
  elseif not holds_text(key) then
    return 'conflict'
  elseif same(key, found) then
    return 'dropped'
  end
  return ARGV[1] == 'overwrite' and 'replaced' or 'conflict'
end
local replies = {}
for place = 2, #KEYS, 3 do
  local names, key, found = KEYS[place], KEYS[place + 1], KEYS[place + 2]
  local argument = (place - 2) / 3 * 2 + 2
  local done = outcome(key, found)
  if done ~= 'gone' and done ~= 'conflict' then
    -- First, as a store that is full refuses these two and nothing below.
    redis.call('SADD', KEYS[1], ARGV[argument])
    -- Before every time at which a name was set since; among themselves names of one score stand by name.
    redis.call('ZADD', names, 'NX', 0, ARGV[argument + 1])
    if done == 'dropped' then
      redis.call('DEL', found)
    elseif done ~= 'registered' then
      redis.call('RENAME', found, key)
    end
  end
  replies[#replies + 1] = done
end
return replies
