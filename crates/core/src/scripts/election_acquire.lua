-- Takes the lease if it is free: released or the asker's own, and written in this run of this server; or unchanged
-- since the asker began to watch it; or never there, in a store that has forgotten nothing since.
-- KEYS  3 the memory's mark (string), only where ARGV 11 is not ''
-- ARGV  9 largest token that the asker knows of  10 what the asker has watched for long enough: 'token beat state
--       holder run' of the record, or 'absent' and the token in the lock; '' for nothing
--       11 the mark that the memory must have for an absent record to mean that there never was one, '' for none
-- Verdict 'acquired', 'held' by somebody or possibly so, 'foreign'.
if lock == 'foreign' then
  return reply('foreign')
end
local watched
if record.token then
  watched = table.concat({record.token, record.beat, record.state, record.holder, record.run}, ' ')
else
  watched = 'absent ' .. lock_token
end
local fresh = record.token and ARGV[5] ~= '' and record.run == ARGV[5]
local free = ARGV[10] == watched
  or (fresh and (record.state == 'released' or record.holder == ARGV[1]))
  or (not record.token and lock == 'absent' and ARGV[11] ~= '' and redis.call('GET', KEYS[3]) == ARGV[11])
if not free then
  return reply('held')
end
-- Not less than the time, so that it grows although the store forgot it.
local time = redis.call('TIME')
local now = number(time[1]) * 1000 + math.floor(number(time[2]) / 1000)
local known = math.max(number(record.token), lock == 'ours' and number(lock_token) or 0, number(ARGV[9]))
write(math.max(known + 1, now), 'held', ARGV[5])
return reply('acquired')
