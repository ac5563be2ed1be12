// The example `chat` in JavaScript, for the same page: names, rooms, a history, lists of people, typing notices and
// announcements. `cargo run -- dev examples/chat-js` at the top of the repository serves it at http://localhost:3000.
import { app, io, kv, Failure } from "hitchy";

const KEPT = 100; // messages of each room, and people who were seen there
const PATIENCE = 10_000; // milliseconds for which a name is kept for a client that is about to connect

const keep = (key, value) => kv.update(key, (all = []) => [...all, value].slice(-KEPT));
const nameKey = name => `name:${name.toLowerCase()}`;

function trimmed(text, most) {
    const words = String(text ?? "").trim();
    if (words.length < 1 || words.length > most) throw new Failure(400, `Please write 1 to ${most} characters.`);
    return words;
}

// Accepts `io({ auth: { name, key } })` if the name is free. The key is a secret of the browser tab: a tab that comes back
// with it gets its name again, even if the server still counts the old connection as open.
io.use(async (socket, next) => {
    const { name: written = "", key = socket.id } = socket.handshake.auth;
    const name = String(written).split(/\s+/).filter(Boolean).join(" ");
    if (!name || name.length > 30) return next(new Failure(400, "Please choose a name of 1 to 30 characters."));
    const isUsed = (await io.in(nameKey(name)).fetchSockets()).length > 0;
    const mine = { key, until: Date.now() + PATIENCE };
    const isFree = claim => !claim || claim.key === key || (!isUsed && claim.until < Date.now());
    const claim = kv.update(nameKey(name), claim => (isFree(claim) ? mine : claim));
    if (claim.key !== key) return next(new Failure(409, "This name is taken. Please choose another."));
    Object.assign(socket.data, { name, key });
    socket.join(nameKey(name));
    next();
});

io.on("connection", socket => {
    const { name, key } = socket.data;
    const inside = room => {
        if (socket.rooms.has(`room:${room}`)) return `room:${room}`;
        throw new Failure(403, "Join the room first.");
    };
    // Tells the clients in the room to ask `who` again. A list that is sent from here could be older than another one.
    const see = room => {
        keep(`seen:${room}`, [name, Date.now()]);
        io.to(`room:${room}`).emit("changed", room);
    };
    socket.emit("welcome", { name, rooms: ["general", "random", "help"] });
    socket.on("join", room => {
        if (/[^\p{L}\p{N}-]/u.test(room)) throw new Failure(400, "A room has letters, digits and hyphens.");
        socket.join(`room:${trimmed(room, 30)}`);
        see(room);
        return kv.get(`messages:${room}`) ?? [];
    });
    socket.on("leave", room => {
        socket.leave(inside(room));
        see(room);
    });
    socket.on("who", async room => {
        const here = (await io.in(`room:${room}`).fetchSockets()).map(other => other.data.name);
        const seen = (kv.get(`seen:${room}`) ?? []).filter(([name]) => !here.includes(name));
        return { here: [...new Set(here)].sort(), seen: Object.fromEntries(seen) };
    });
    socket.on("typing", room => void socket.to(inside(room)).volatile.emit("typing", { room, from: name }));
    // The client chooses the id, by which the page recognises a message that was sent again after a lost connection.
    socket.on("message", (room, text, id) => {
        const others = socket.to(inside(room));
        const message = { id: trimmed(id, 40), room, from: name, text: trimmed(text, 500), at: Date.now() };
        keep(`messages:${room}`, message);
        others.emit("message", message);
        return message;
    });
    socket.on("disconnect", () => {
        kv.update(nameKey(name), claim => (claim?.key === key ? { ...claim, until: 0 } : claim ?? { key, until: 0 }));
        for (const room of socket.rooms) if (room.startsWith("room:")) see(room.slice("room:".length));
    });
});

app.post("/api/announce", ({ json }) => {
    const announcement = { text: trimmed(json().text, 500), at: Date.now() };
    io.emit("announcement", announcement);
    return announcement;
});
