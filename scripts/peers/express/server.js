'use strict';
// Express as a peer of ringserve.

const http = require('node:http');
const express = require('express');
const peer = require('../shared/node/peer.js');

const orders = peer.readOrders();

const app = express();
app.disable('x-powered-by');
// It would hash each body.
app.disable('etag');

app.get('/', (_request, response) => {
  response.type('text/plain').send(peer.HELLO);
});

app.get('/orders', (_request, response) => {
  response.json(orders);
});

// The parser on the one route that has a body.
app.post('/ping', express.json(), (request, response) => {
  const sequence = request.body?.sequence;
  if (sequence === undefined) {
    response.sendStatus(400);
  } else {
    response.json({ sequence });
  }
});

const server = http.createServer({ keepAliveTimeout: peer.KEEP_ALIVE_TIMEOUT_MS }, app);
peer.start((address) => server.listen(address));
