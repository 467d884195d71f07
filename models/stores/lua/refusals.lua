-- Who was refused and why, put before the scripts that begin with `-- WITH … refusals`.
-- KEYS  named by the book: tally (sorted set: how often each bucket refused), lines
--       (stream: refusals one by one), shares (hash: lines of each lately)
-- ARGV  read by the script that makes the book; its `rules` are six numbers: life of
--       the tally in ms and its size, lines kept (0 = none) and their life in ms, lines
--       of one bucket or user within the time of its share, and that time in ms; its
--       `about` is what a line says of the request
-- ANSWER none
local RULES = '(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)'

-- Nobody has more than a share of the lines, so that a flood does not wash away what
-- befell the others, and costs no more than counting it.
local function keep_refusal(book, whose, what, wait_ms)
  local _, _, most, life_ms, share, every_ms = string.match(book.rules, RULES)
  if most == '0' then return end
  local count = redis.call('HINCRBY', book.shares, whose, 1)
  if count == 1 and redis.call('PTTL', book.shares) < 0 then
    redis.call('PEXPIRE', book.shares, every_ms)
  end
  if count > tonumber(share) then return end
  redis.call('XADD', book.lines, 'MAXLEN', '~', most, '*',
    'about', book.about, 'what', what, 'wait', wait_ms)
  redis.call('PEXPIRE', book.lines, life_ms)
end

local function refuse(book, bucket, what, wait_ms)
  local life_ms, most = string.match(book.rules, RULES)
  redis.call('ZINCRBY', book.tally, 1, bucket)
  if redis.call('PTTL', book.tally) < 0 then
    redis.call('PEXPIRE', book.tally, life_ms)
  end
  local beyond = redis.call('ZCARD', book.tally) - tonumber(most)
  if beyond > 0 then redis.call('ZREMRANGEBYRANK', book.tally, 0, beyond - 1) end
  keep_refusal(book, bucket, what, wait_ms)
end

