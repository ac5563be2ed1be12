// A handler for Hitchy: a route for HTTP, and an event for socket.io clients.
//
// `hitchy dev` serves it, and replaces it on every save. `node --test` runs its tests, and `npx tsc --noEmit` checks its types.
import { app, io, Failure } from "hitchy";

interface Message { from: string; text: string }

// `GET /api/hello/Ada` answers `{"hello":"Ada"}`.
app.get("/api/hello/:name", ({ params }) => ({ hello: params.name }));

io.on("connection", socket => {
    // `socket.emit("chat:say", { from: "Ada", text: "hi" }, answer => …)`. What is returned is the answer, the ack.
    socket.on("chat:say", (message?: Message) => {
        if (!message?.text) throw new Failure(400, "there is no text in it");
        // Every connected client gets an event `chat:said`; `io.to("room").emit(…)` would tell those in a room.
        io.emit("chat:said", message);
        return "told everyone";
    });
});
