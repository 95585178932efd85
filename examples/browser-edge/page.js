// Shrinks photos with `thumbnail` in this page, sends the results on to `gallery` at the node, and shows the savings.

import { connect } from './edge/edge.js';

const SIDE_MAX = 320;
// Thumbnails that could not be sent yet.
const WAITING = 'waiting';
const at = (id) => document.getElementById(id);
const totals = { photo: 0, sent: 0, here: 0, there: 0, compared: false };
let app;

async function start() {
  const isKept = await keepForOffline();
  app = await connect(location.origin);
  // The service worker keeps the module on its way.
  await app.prepare();
  const { bytes } = app.functions.find((one) => one.name === 'thumbnail');
  const offline = isKept ? ' This page now works offline.' : '';
  say(`The node's list of functions is verified: thumbnail (${size(bytes)}) runs here.${offline}`);
  at('files').addEventListener('change', ({ target }) => each([...target.files]));
  at('draw').addEventListener('click', async () => each([await drawn()]));
  at('uplink').addEventListener('change', showTotals);
  addEventListener('online', sendWaiting);
  await sendWaiting();
  if (location.hash === '#drawn') await each([await drawn()]);
}

// Whether a service worker answers this page's requests. There is none where the browser offers no such thing, and none
// for a page that was reloaded past it.
async function keepForOffline() {
  const container = navigator.serviceWorker;
  if (container === undefined) return false;
  try {
    const { active, installing, waiting } = await container.register('service-worker.js');
    const fresh = installing ?? waiting;
    if (active === null && fresh) await taken(container, fresh);
  } catch (error) {
    console.warn('this page will not work offline:', error);
  }
  return container.controller !== null;
}

// Waits until a new service worker has taken this page over, or has given up.
function taken(container, fresh) {
  return new Promise((resolve) => {
    container.addEventListener('controllerchange', resolve, { once: true });
    fresh.addEventListener('statechange', () => fresh.state === 'redundant' && resolve());
  });
}

async function each(files) {
  for (const file of files) {
    const row = at('photos').insertRow();
    try {
      await shrink(file, row);
    } catch (error) {
      row.insertCell().textContent = `${file.name}: ${error.message}`;
    }
  }
}

async function shrink(file, row) {
  const photo = { image: await base64(file), width: SIDE_MAX, height: SIDE_MAX };
  const [small, here] = await timed(() => app.run('thumbnail', photo));
  const picture = new Image();
  picture.src = `data:image/${small.format};base64,${small.image}`;
  row.insertCell().append(picture);
  const thumbnail = { name: file.name, image: small.image };
  const [answer, sent] = await timed(() => send(thumbnail));
  const [, there] = at('compare').checked ? await timed(() => app.invoke('thumbnail', photo)) : [];
  const bytes = { photo: JSON.stringify(photo).length, sent: JSON.stringify(thumbnail).length };
  const cells = [
    size(bytes.photo),
    size(bytes.sent),
    time(here),
    answer ? time(sent) : '–',
    there === undefined ? '–' : time(there),
    answer ? `${answer.id}, ${answer.bytes} bytes` : 'waits for the node',
  ];
  for (const text of cells) row.insertCell().textContent = text;
  totals.photo += bytes.photo;
  totals.sent += bytes.sent;
  if (there !== undefined) {
    totals.here += here + sent;
    totals.there += there;
    totals.compared = true;
  }
  showTotals();
}

// The answer of the node. Without a connection to it there is none: then the thumbnail waits here.
async function send(thumbnail) {
  try {
    return await app.invoke('gallery', thumbnail);
  } catch (error) {
    if (error.code !== 'node_unreachable') throw error;
    keepWaiting([...waiting(), thumbnail]);
    return undefined;
  }
}

function keepWaiting(thumbnails) {
  localStorage.setItem(WAITING, JSON.stringify(thumbnails));
}

function waiting() {
  return JSON.parse(localStorage.getItem(WAITING) ?? '[]');
}

async function sendWaiting() {
  const all = waiting();
  for (const thumbnail of all) {
    try {
      await app.invoke('gallery', thumbnail);
    } catch (error) {
      say(`${waiting().length} thumbnails wait: ${error.message}`);
      return;
    }
    // Not before it has arrived: the page may be closed at any time.
    keepWaiting(waiting().slice(1));
  }
  if (all.length > 0) say(`${all.length} waiting thumbnails were sent.`);
}

function showTotals() {
  if (totals.photo === 0) return;
  const saved = totals.photo - totals.sent;
  const megabits = Number(at('uplink').value);
  const lines = [
    `${size(totals.sent)} instead of ${size(totals.photo)}: ${(100 * saved / totals.photo).toFixed(1)} % less.`,
    `At ${megabits} Mbit/s that saves ${time(saved * 8 / 1000 / megabits)}.`,
  ];
  if (totals.compared) lines.push(`Measured here: ${time(totals.here)} in this page, ${time(totals.there)} at the node.`);
  at('total').textContent = lines.join(' ');
}

async function timed(action) {
  const began = performance.now();
  const result = await action();
  return [result, performance.now() - began];
}

function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

// A picture as large as a camera's: hills in a haze, with the grain that makes photos large.
async function drawn() {
  const canvas = Object.assign(document.createElement('canvas'), { width: 4000, height: 3000 });
  const context = canvas.getContext('2d');
  context.fillStyle = 'hsl(190 45% 93%)';
  context.fillRect(0, 0, 4000, 3000);
  for (let hill = 0; hill < 8; hill++) {
    context.fillStyle = `hsl(${200 + 12 * hill} 45% ${85 - 9 * hill}%)`;
    context.beginPath();
    context.moveTo(0, 3000);
    const height = (x) => 330 * hill + 160 * Math.sin(x / (260 + 70 * hill) + 2 * hill);
    for (let x = 0; x <= 4000; x += 20) context.lineTo(x, height(x));
    context.lineTo(4000, 3000);
    context.fill();
  }
  const pixels = context.getImageData(0, 0, 4000, 3000);
  for (let i = 0, grain = 1; i < pixels.data.length; i += 4) {
    grain = (Math.imul(grain, 1664525) + 1013904223) | 0;
    for (let channel = 0; channel < 3; channel++) pixels.data[i + channel] += grain >> 28;
  }
  context.putImageData(pixels, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.85));
  return new File([blob], 'drawn.jpg');
}

function size(bytes) {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(2)} MB`;
}

function time(milliseconds) {
  return milliseconds < 1000 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

function say(text) {
  at('state').textContent = text;
}

start().catch((error) => say(`${error.code ?? error.name}: ${error.message}`));
