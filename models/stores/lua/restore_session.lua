-- Write a session's copy that Redis lost, and journal what SQL may lack. A copy that
-- is as new or revoked stays as it is: the caller knows less.
-- KEYS  [1] session  [2] sessions of the user  [3] login journal
-- ARGV  [1] session id  [2] user id  [3] app id  [4] generation
--       [5] when it was made, ms  [6] session life in ms  [7] journal entry
--       [8] epoch it was opened under  [9] hash of what its refresh tokens hold, ''
--       if not known  [10] when it was opened, ms  [11] longest life of a session in ms
--       [12] its rotations before that (models/rotation_trail.py)
-- ANSWER 1 when written, else 0
local fields = redis.call('HMGET', KEYS[1], 'generation', 'revoked')
if fields[2] then return 0 end
if fields[1] and tonumber(fields[1]) >= tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], 'user', ARGV[2], 'app', ARGV[3], 'generation', ARGV[4],
  'rotated', ARGV[5], 'epoch', ARGV[8], 'trail', ARGV[12])
if ARGV[9] ~= '' then redis.call('HSET', KEYS[1], 'refresh', ARGV[9]) end
redis.call('HSETNX', KEYS[1], 'created', ARGV[10])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('ZADD', KEYS[2], 'NX', ARGV[10], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[11])
-- The entry of the login, if it is still known, tells more than one of a token.
redis.call('HSETNX', KEYS[1], 'entry', redis.call('XADD', KEYS[3], '*', 'e', ARGV[7]))
return 1
