-- WITH refusals
-- Keep a refusal that no limit made: of a banned user, of one the rules hold back.
-- KEYS  [1] lines and [2] shares of the refused (refusals.lua)
-- ARGV  [1] rules of the refusals  [2] what they say of this request
--       [3] whose share of the lines it takes  [4] why it was refused
-- ANSWER nothing
keep_refusal({lines = KEYS[1], shares = KEYS[2], rules = ARGV[1], about = ARGV[2]},
  ARGV[3], ARGV[4], 0)
