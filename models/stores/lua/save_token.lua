-- Store an access token unless a later refresher has stored one.
-- KEYS  [1] token (hash)
-- ARGV  [1] fence of this refresher  [2] sealed token  [3] expires at, epoch ms
--       [4] life in ms
-- ANSWER 1 when stored, 0 when a later fence stands there
local fence = redis.call('HGET', KEYS[1], 'fence')
if fence and tonumber(fence) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'token', ARGV[2], 'expires', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
