// The example `hello` on Node, with `http` and the server of socket.io, for the benchmark `compare`.
//
// It prints `listening on http://ADDRESS` and runs until it is killed.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer((request, response) => {
  const found = /^\/api\/hello\/([^/?]+)$/.exec(request.url);
  response.writeHead(found ? 200 : 404, { "content-type": "application/json" });
  response.end(JSON.stringify(found ? { hello: decodeURIComponent(found[1]) } : { error: "not found" }));
});

new Server(http, { serveClient: false }).on("connection", (socket) => {
  socket.on("chat:send", (message, ack) => {
    socket.to(message.room).emit("chat:message", message);
    ack("sent");
  });
});

http.listen(0, "127.0.0.1", () => {
  const { address, port } = http.address();
  console.log(`listening on http://${address}:${port}`);
});
