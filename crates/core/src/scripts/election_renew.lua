-- Renews the asker's lease. Where the store forgot it (no record, or an older one), it is written anew.
-- ARGV  9 the asker's token
-- Verdict 'renewed', 'lost' to somebody else, 'foreign'.
local token = number(ARGV[9])
local mine = record.token and number(record.token) == token and record.holder == ARGV[1] and record.state == 'held'
-- A token that is not lower, or whatever somebody else wrote in this run of this server: only what a server brought
-- back from a time before can be older than the asker's lease.
local newer = record.token and (number(record.token) >= token
    or ARGV[5] ~= '' and record.run == ARGV[5] and record.holder ~= ARGV[1])
  or lock == 'ours' and number(lock_token) > token
if lock == 'foreign' then
  return reply('foreign')
end
if newer and not mine then
  return reply('lost')
end
-- What was forgotten and is written anew is nobody's word for anything, not even the asker's: this request may be late,
-- and somebody else may have led meanwhile and been forgotten, too. The next renewal says more.
write(token, 'held', mine and ARGV[5] or '')
return reply('renewed')
