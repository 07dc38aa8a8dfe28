// ccxt, unchanged, as a client of gemini-sim: prints one JSON object of what it saw.
// usage: node ccxt_client.mjs URL CONTROL-SOCKET KEY SECRET, in a directory with node_modules/ccxt
import { createRequire } from 'node:module';
import { request } from 'node:http';

const ccxt = createRequire(process.cwd() + '/')('ccxt');
const [url, controlSocket, apiKey, secret] = process.argv.slice(2);
// What ccxt otherwise reads off a page of the web site: symbol, digits of price and amount, smallest order.
const tradingPairs = [['BTCUSD', 2, 8, '0.00001', 10, true], ['ETHUSD', 2, 6, '0.001', 8, true],
  ['ETHBTC', 5, 6, '0.001', 10, true], ['SOLUSD', 3, 6, '0.01', 8, true]];

const exchange = new ccxt.gemini({ apiKey, secret, options: { fetchMarketsMethod: 'fetch_markets_from_api', tradingPairs } });
exchange.urls.api = { ...exchange.urls.api, public: url, private: url };
exchange.has.fetchCurrencies = false; // It would ask the web site.

function control(path, body) {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: controlSocket, path, method: 'POST' }, (answer) => {
      answer.resume();
      answer.on('end', () => (answer.statusCode === 200 ? resolve() : reject(new Error(path + ' ' + answer.statusCode))));
    });
    call.on('error', reject);
    call.end(JSON.stringify(body));
  });
}

async function errorOf(call) {
  try {
    await call();
    return 'none';
  } catch (error) {
    return error.constructor.name;
  }
}

async function errorUnder(fault) {
  await control('/faults', fault);
  return errorOf(() => exchange.fetchBalance());
}

const buy = (params) => exchange.createOrder('BTC/USD', 'limit', 'buy', 0.5, 30000, params);
const seen = { errors: {} };
seen.markets = Object.keys(await exchange.loadMarkets()).sort();
const order = await buy({ clientOrderId: 'ccxt-1' });
seen.placed = [order.status, order.clientOrderId, order.amount, order.price];
seen.open = (await exchange.fetchOpenOrders('BTC/USD')).map((row) => row.id === order.id);
seen.usd = (await exchange.fetchBalance()).USD;
await control('/fill', { order_id: Number(order.id), amount: '0.2' });
const fetched = await exchange.fetchOrder(order.id, 'BTC/USD');
seen.filled = [fetched.status, fetched.filled, fetched.remaining];
seen.trades = (await exchange.fetchMyTrades('BTC/USD')).map((row) => [row.side, row.amount, row.price, row.order === order.id]);
seen.cancelled = (await exchange.cancelOrder(order.id, 'BTC/USD')).status;
seen.left = (await exchange.fetchOpenOrders('BTC/USD')).length;
seen.withdrawn = (await exchange.withdraw('BTC', 0.0000001, 'bc1-cold')).id.length;
seen.address = (await exchange.createDepositAddress('BTC', { network: 'BTC' }).catch((error) => ({ address: String(error) }))).address;

seen.errors.poor = await errorOf(() => exchange.createOrder('BTC/USD', 'limit', 'buy', 900000, 900000));
seen.errors.thief = await errorOf(() => exchange.withdraw('BTC', 1, 'thief'));
seen.errors.unknown = await errorOf(() => exchange.cancelOrder('1', 'BTC/USD'));
seen.errors.maintenance = await errorUnder({ fault: 'error', status: 503 });
seen.errors.rate = await errorUnder({ fault: 'error', status: 429 });
seen.errors.nonce = await errorUnder({ fault: 'nonce' });
seen.errors.closed = await errorUnder({ fault: 'close' });
seen.errors.half = await errorUnder({ fault: 'close', at: 'inside-body' });
console.log(JSON.stringify(seen));
