"""The only code in `connectors` that touches a network: sockets, HTTP, clocks, limits, recording and replay."""
