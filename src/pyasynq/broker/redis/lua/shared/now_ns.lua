-- The Redis clock in nanoseconds, as a text.
--
-- NEEDS clock
-- GIVES now_ns

local now_ns = clock[1] .. string.format("%06d", clock[2]) .. "000"
