-- The beginning of each script of an election: reads what the store has of it.
-- KEYS  1 lock (string)  2 record (hash)
-- ARGV  1 holder: the asker's id  2 its host  3 ttl in ms  4 '1' if it stands in only while nobody else can, else '0'
--       5 the run of this server (and its reign as a master) as the asker knows it, '' where it does not  6 channel  7 the lock's key as JSON
--       8 a new beat: random, so that nobody can foretell it
-- Reply of all scripts, an array of strings: verdict, lock ('absent', 'ours', 'foreign'), the token in the lock or what
--       it holds instead, its remaining lifetime in ms (-1: endless, -2: absent), then the record's fields, '' where
--       there is none: token, beat, state, holder, host, ttl, run, reserve; then what the verdict brings.
local NAMES = {'token', 'beat', 'state', 'holder', 'host', 'ttl', 'run', 'reserve'}

-- The text of a whole number that Lua's numbers hold exactly (below 2^53), written as such numbers are; else nil.
local function is_number(text)
  if not text or #text > 16 or not string.match(text, '^%d+$') then
    return nil
  end
  local value = tonumber(text)
  return value <= 9007199254740991 and string.format('%.0f', value) == text and text or nil
end

local function is_text(text, pattern, longest)
  return text and #text <= longest and string.match(text, pattern)
end

local lock, lock_token, record = 'absent', '', {}
local foreign_record = false

local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'string' then
  -- Whatever it is, no more than ours can be long.
  local text = redis.call('GETRANGE', KEYS[1], 0, 511)
  local token = is_number(string.match(text, '^{"holder":"[%w-]+","host":"[%w._-]+","token":(%d+)}$'))
  lock = token and 'ours' or 'foreign'
  lock_token = token or string.sub(text, 1, 256)
elseif kind ~= 'none' then
  lock, lock_token = 'foreign', kind
end

kind = redis.call('TYPE', KEYS[2]).ok
if kind == 'hash' then
  for at, value in ipairs(redis.call('HMGET', KEYS[2], unpack(NAMES))) do
    record[NAMES[at]] = value or nil
  end
  -- Something else's hash, or a damaged one.
  foreign_record = not (is_number(record.token) and is_number(record.ttl) and is_text(record.beat, '^%x+$', 32)
    and (record.state == 'held' or record.state == 'released') and is_text(record.holder, '^[%w-]+$', 64)
    and is_text(record.host, '^[%w._-]+$', 253) and is_text(record.run, '^%w*$', 64))
elseif kind ~= 'none' then
  foreign_record = true
end
if foreign_record then
  lock, lock_token = 'foreign', 'record'
end

local function reply(verdict, extra)
  local view = {verdict, lock, lock_token, tostring(redis.call('PTTL', KEYS[1]))}
  for _, name in ipairs(NAMES) do
    view[#view + 1] = foreign_record and '' or record[name] or ''
  end
  view[#view + 1] = extra or ''
  return view
end

local function number(text)
  return tonumber(text or '') or 0
end

-- Writes a record of the asker's, and tells whoever listens; returns how many do. `run` says in which run of which
-- server it can be taken at its word, '' for none. The lock comes first: a script is
-- not rolled back, and it is the key that access rules may forbid.
local function write(token, state, run)
  record = {
    token = string.format('%.0f', token), beat = ARGV[8], state = state,
    holder = ARGV[1], host = ARGV[2], ttl = ARGV[3], reserve = ARGV[4], run = run,
  }
  if state == 'held' then
    local text = '{"holder":"' .. ARGV[1] .. '","host":"' .. ARGV[2] .. '","token":' .. record.token .. '}'
    redis.call('SET', KEYS[1], text, 'PX', ARGV[3])
    lock, lock_token = 'ours', record.token
  elseif lock == 'ours' then
    redis.call('DEL', KEYS[1])
    lock, lock_token = 'absent', ''
  end
  local fields = {}
  for _, name in ipairs(NAMES) do
    fields[#fields + 1] = name
    fields[#fields + 1] = record[name]
  end
  redis.call('HSET', KEYS[2], unpack(fields))
  -- Without the right to publish the others find out by themselves, later.
  local told = redis.pcall('PUBLISH', ARGV[6], '{"lock":' .. ARGV[7] .. ',"token":' .. record.token
    .. ',"beat":"' .. ARGV[8] .. '","state":"' .. state .. '","holder":"' .. ARGV[1] .. '","run":"' .. run .. '"}')
  return type(told) == 'number' and told or 0
end

