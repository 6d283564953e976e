// Deno's own server as a peer of ringserve, for `deno serve`.

const HELLO = 'Hello, World!';
const orders = JSON.parse(Deno.readTextFileSync(new URL('../orders.json', import.meta.url)));

export default {
  fetch(request) {
    const path = pathOf(request.url);
    if (path === '/') return new Response(HELLO);
    if (path === '/orders') return Response.json(orders);
    if (path === '/ping' && request.method === 'POST') return ping(request);
    return new Response('not found', { status: 404 });
  },
};

// Without the parts of `new URL(url)` that are not needed here, as routers do it.
function pathOf(url) {
  const start = url.indexOf('/', url.indexOf(':') + 3);
  const end = url.indexOf('?', start);
  return end < 0 ? url.slice(start) : url.slice(start, end);
}

async function ping(request) {
  const { sequence } = await request.json();
  return Response.json({ sequence });
}
