-- Let a user id stand for a guest, unless somebody logs in under it already.
-- KEYS  [1] standing of the id (hash)  [2] sessions of the id
-- ARGV  [1] the guest  [2] the id
-- ANSWER the user as whom logins of the id go on: the guest, another one that came
--        first, or the id itself
local alias = redis.call('HGET', KEYS[1], 'alias')
if alias then return alias end
if redis.call('EXISTS', KEYS[2]) == 1 then return ARGV[2] end
redis.call('HSET', KEYS[1], 'alias', ARGV[1])
return ARGV[1]
