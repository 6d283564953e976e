'use strict';
// Node.js's own node:http as a peer of ringserve, without a framework.

const http = require('node:http');
const peer = require('../shared/node/peer.js');

const orders = peer.readOrders();

const server = http.createServer({ keepAliveTimeout: peer.KEEP_ALIVE_TIMEOUT_MS }, (request, response) => {
  if (request.url === '/') {
    answer(response, 200, 'text/plain; charset=utf-8', peer.HELLO);
  } else if (request.url === '/orders') {
    answer(response, 200, 'application/json', JSON.stringify(orders));
  } else if (request.url === '/ping' && request.method === 'POST') {
    ping(request, response);
  } else {
    answer(response, 404, 'text/plain; charset=utf-8', 'not found');
  }
});

function ping(request, response) {
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (chunk) => {
    body += chunk;
  });
  request.on('end', () => {
    try {
      const { sequence } = JSON.parse(body);
      answer(response, 200, 'application/json', JSON.stringify({ sequence }));
    } catch (error) {
      answer(response, 400, 'text/plain; charset=utf-8', error.message);
    }
  });
}

// With the length, so that head and body leave together and nothing is chunked.
function answer(response, status, type, body) {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
}

peer.start((address) => server.listen(address));
