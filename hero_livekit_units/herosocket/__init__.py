"""Hero sockets: JSON-RPC 2.0 over HTTP/1.1 on a Unix socket, from both ends.

    listener ──▶ http ──▶ rpc          server: the three together, with the four routes of a Hero service
    one owner    bytes    JSON-RPC     client: the other end
                 requests rules        address: where the sockets are

Knows nothing of units or supervisors: a service is a pjrpc registry of methods, a name and an OpenRPC document. Each
module is imported by its own name, since the client must not pay for the server.
"""
