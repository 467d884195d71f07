"""WeChat as a library: client, tokens, crypto, errors, and the simulator beside it."""
