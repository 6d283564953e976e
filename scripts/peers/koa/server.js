'use strict';
// Koa as a peer of ringserve, with the router and the body parser of its own project.

const http = require('node:http');
const { bodyParser } = require('@koa/bodyparser');
const Router = require('@koa/router');
const Koa = require('koa');
const peer = require('../shared/node/peer.js');

const orders = peer.readOrders();

const router = new Router();

router.get('/', (context) => {
  context.body = peer.HELLO;
});

router.get('/orders', (context) => {
  context.body = orders;
});

// The parser on the one route that has a body.
router.post('/ping', bodyParser({ enableTypes: ['json'] }), (context) => {
  const sequence = context.request.body?.sequence;
  if (sequence === undefined) context.throw(400, 'not a ping');
  context.body = { sequence };
});

const app = new Koa();
app.use(router.routes());

const server = http.createServer({ keepAliveTimeout: peer.KEEP_ALIVE_TIMEOUT_MS }, app.callback());
peer.start((address) => server.listen(address));
