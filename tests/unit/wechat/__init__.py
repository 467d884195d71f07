"""The WeChat library without a network: simulated in process, or scripted."""
