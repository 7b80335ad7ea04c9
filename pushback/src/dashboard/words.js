"use strict";
// The page of pushback's dashboard. Frames come four times a second from "events"; names, reasons and paths in them are other people's
// text, so all of it goes into the page by textContent.

// A server that has said nothing for so long is gone, whatever the connection says.
const SILENCE_MS = 5000;

const page = (name) => location.pathname.replace(/\/$/, "") + "/" + name;
const find = (selector, within = document) => within.querySelector(selector);
const changesAt = document.body.dataset.changesAt;
// It is kept as long as the page is open, and nowhere else.
let token = "";

// What is written only where it changed: the browser then has nothing to do, and a screen reader nothing to say.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function show(element, isShown) {
  if (element.hidden === isShown) element.hidden = !isShown;
}

function rate(perSecond) {
  if (perSecond >= 100) return Math.round(perSecond).toLocaleString("en");
  return perSecond.toFixed(perSecond > 0 && perSecond < 10 ? 1 : 0);
}

function time(seconds) {
  if (seconds >= 10) return `${seconds.toFixed(0)} s`;
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  const millis = seconds * 1000;
  return `${millis.toFixed(millis >= 100 ? 0 : millis >= 10 ? 1 : 2)} ms`;
}

function ago(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3600)} h ago`;
}

// Why requests are refused, as people say it; `pushback top` has the same. Metrics and logs have the names.
const REASONS = {
  full: "no free place",
  queue_full: "queue full",
  queue_timeout: "waited too long in the queue",
  deadline_passed: "its own deadline passed",
  displaced: "made way for a more important one",
  cost_above_limit: "needs more places than the limit has",
  closed: "shutting down",
  outranked: "the free places are kept for more important ones",
  too_late: "would wait too long in the queue",
};
const words = (name) => REASONS[name] ?? name.replaceAll("_", " ");
const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);
