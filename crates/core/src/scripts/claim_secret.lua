-- Creates the cluster's credential secret once; whoever comes later learns which one it is.
-- KEYS  1 secret (hash)
-- ARGV  1 fingerprint of the secret that the caller proposes  2 its text where it was generated, else ''
--       3 time (RFC 3339)
-- Reply {fingerprint, text or nil} of the cluster's secret, the caller's own where there was none
if redis.call('HEXISTS', KEYS[1], 'fingerprint') == 0 then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'created', ARGV[3])
  if ARGV[2] ~= '' then
    redis.call('HSET', KEYS[1], 'generated', ARGV[2])
  end
end
return redis.call('HMGET', KEYS[1], 'fingerprint', 'generated')
