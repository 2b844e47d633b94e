// The map: points of /data.geojson, drawn on a canvas. All texts of the data go in as text, never
// as markup; words for people stand in the page. Without it the table has the same.
import { leaflet as L } from "/static/leaflet.js";

const AT_START = 15;
const element = document.getElementById("map");
const trouble = document.getElementById("map-trouble");
const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function styles() {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const bad = colour("--bad"), good = colour("--good"), other = colour("--other");
  const edge = colour("--text");
  const ring = { fill: true, fillOpacity: 0, radius: 6, weight: 3 };
  return {
    open: { ...ring, color: bad, fillColor: bad, fillOpacity: 1, radius: 6, weight: 1 },
    not_repaired: { ...ring, color: edge, fillColor: bad, fillOpacity: 1 },
    over: { ...ring, color: good, dashArray: "2 4" },
    repaired: { ...ring, color: good },
    closed: { ...ring, color: other, dashArray: "5 4", weight: 2 },
    duplicate: { ...ring, color: other, weight: 1, radius: 4 },
    mistaken: { ...ring, color: other, weight: 1, radius: 4 },
  };
}

function words() {
  const found = {};
  for (const each of document.querySelectorAll("[data-standing]")) {
    found[each.dataset.standing] = each.textContent;
  }
  return found;
}

function time(text) {
  const options = { dateStyle: "medium", timeStyle: "short", timeZone: element.dataset.zone };
  return new Date(text).toLocaleString(document.documentElement.lang, options);
}

function line(text, tag = "span") {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function popup(properties, standings) {
  const box = document.createElement("div");
  const said = element.dataset;
  box.className = "popup";
  box.append(line(properties.kind_name, "strong"), line(standings[properties.state]));
  for (const text of [properties.address, properties.zone]) {
    if (text) box.append(line(text));
  }
  box.append(line(`${said.found}: ${time(properties.found_at)}`));
  box.append(line(`${said.reported}: ${time(properties.requested_datetime)}`));
  if (properties.closed_at) box.append(line(`${said.closed}: ${time(properties.closed_at)}`));
  box.append(line(properties.service_request_id));
  return box;
}

function zoomButtons() {
  const { closer, farther } = element.dataset;
  return L.control.zoom({ zoomInTitle: closer, zoomOutTitle: farther });
}

function show(data) {
  element.hidden = false;
  const map = L.map(element, {
    preferCanvas: true, attributionControl: false, zoomControl: false,
    zoomAnimation: !calm, fadeAnimation: !calm, markerZoomAnimation: !calm,
  });
  zoomButtons().addTo(map);
  if (element.dataset.tiles) L.tileLayer(element.dataset.tiles, { maxZoom: 19 }).addTo(map);
  const standings = words();
  const layer = L.geoJSON(data, {
    pointToLayer: (feature, place) =>
      L.circleMarker(place, look[feature.properties.state] || look.closed),
  });
  layer.bindPopup((point) => popup(point.feature.properties, standings));
  layer.addTo(map);
  dark.addEventListener("change", () => {
    look = styles();
    layer.setStyle((feature) => look[feature.properties.state] || look.closed);
  });
  const bounds = layer.getBounds();
  if (bounds.isValid()) map.fitBounds(bounds, { padding: [24, 24], maxZoom: AT_START });
  else map.setView([0, 0], 2);
  if (data.pages > 1) trouble.textContent = trouble.dataset.more;
}

let look = styles();
fetch(element.dataset.source)
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(String(answer.status)))))
  .then(show)
  .catch(() => {
    element.hidden = true;
    trouble.textContent = trouble.dataset.failed;
  });
