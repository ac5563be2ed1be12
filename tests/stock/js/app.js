// A site as a Cloudflare Worker or a service worker would have it: it knows nothing of Hitchy.
addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const url = new URL(request.url);
  if (url.pathname.endsWith("/echo")) {
    return new Response(request.body, { headers: { "content-type": "text/plain; charset=utf-8" } });
  }
  if (url.pathname.endsWith("/events")) {
    return new Response(events(3), { headers: { "content-type": "text/event-stream" } });
  }
  if (url.pathname.endsWith("/fails")) {
    throw new Error("no luck");
  }
  const told = { method: request.method, path: url.pathname, query: url.search, by: request.headers.get("x-mine") };
  return new Response(JSON.stringify(told), {
    status: 201,
    headers: { "content-type": "application/json", "x-by": "javascript" },
  });
}

function events(count) {
  const encoder = new TextEncoder();
  let number = 0;
  return new ReadableStream({
    async pull(controller) {
      if (number === count) {
        controller.close();
        return;
      }
      controller.enqueue(encoder.encode(`data: ${number}\n\n`));
      number += 1;
      await new Promise((resolve) => setTimeout(resolve, 100));
    },
  });
}
