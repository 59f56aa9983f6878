-- The beginning of each script of an election: reads what the store has of it.
-- KEYS  1 lock (string)  2 record (hash)
-- ARGV  1 holder: the asker's id  2 its host  3 ttl in ms  4 '1' if it stands in only while nobody else can, else '0'
--       5 run_id of this server as the asker knows it, '' where it does not  6 channel  7 the lock's key as JSON
--       8 a new beat: random, so that nobody can foretell it
-- Reply of all scripts, an array of strings: verdict, lock ('absent', 'ours', 'foreign'), the token in the lock or what
--       it holds instead, its remaining lifetime in ms (-1: endless, -2: absent), then the record's fields, '' where
--       there is none: token, beat, state, holder, host, ttl, run, reserve; then what the verdict brings.
local NAMES = {'token', 'beat', 'state', 'holder', 'host', 'ttl', 'run', 'reserve'}

local lock, lock_token, record = 'absent', '', {}
local foreign_record = false

local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'string' then
  local text = redis.call('GET', KEYS[1])
  local token = string.match(text, '^{"holder":"[%w-]+","host":"[%w._-]+","token":(%d+)}$')
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
  foreign_record = not (string.match(record.token or '', '^%d+$') and string.match(record.beat or '', '^%x+$')
    and string.match(record.ttl or '', '^%d+$') and (record.state == 'held' or record.state == 'released')
    and record.holder and record.host and record.run)
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

-- Tokens are whole numbers below 2^53, which Lua's numbers hold exactly.
local function number(text)
  return tonumber(text or '') or 0
end

-- Writes a record of the asker's, and tells whoever listens; returns how many do. The lock comes first: a script is
-- not rolled back, and it is the key that access rules may forbid.
local function write(token, state)
  record = {
    token = string.format('%.0f', token), beat = ARGV[8], state = state,
    holder = ARGV[1], host = ARGV[2], ttl = ARGV[3], reserve = ARGV[4], run = ARGV[5],
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
    .. ',"beat":"' .. ARGV[8] .. '","state":"' .. state .. '","holder":"' .. ARGV[1] .. '","run":"' .. ARGV[5] .. '"}')
  return type(told) == 'number' and told or 0
end

