"""What the gateway and the control plane agree on: key format, gateway tables, the register's row.

Standard library and msgspec only, so that both sides can import it and neither drags the other in.
"""
