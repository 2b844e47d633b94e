// The City page: filters, the map, what was picked, and the open incidents in view as a table. All
// texts come from the server in the visitor's language; whatever stands for a thing is put in as text.

import { leaflet as L } from "nicegui-leaflet";
import {
  CityLayer, Symbols, TEMPLATE, Watch, chosenAssets, chosenIncidents, digits, filterOf, queryOf,
} from "sense311-city";

const ROWS_MAX = 50;
const START_ZOOM_MAX = 16;
const FOUND_MAX = 8;

export default {
  template: TEMPLATE,

  props: {
    texts: Object,
    names: Array, // of the states, by digit
    kinds: Object,
    tiles: String,
    credit: String,
    language: String,
    timeZone: String,
  },

  data() {
    const { filter, view } = filterOf(location.search, this.names.length);
    return {
      filter, startsAt: view, look: lookNow(), counts: [], line: "", rows: [], inView: 0, listed: 0, more: 0,
      choices: { kind: [], zone: [], rule: [] }, picked: null, wanted: "", found: [], rules: {},
    };
  },

  computed: {
    legend() {
      const kinds = [...this.choices.kind];
      return [...kinds, ["incident", this.texts.anIncident], ["request", this.texts.aRequest],
        ["cluster", this.texts.aCluster]];
    },
    summary() {
      const values = { shown: this.number(this.rows.length), count: this.number(this.inView) };
      const text = this.fill(this.inView ? this.texts.listed : this.texts.noneInView, values);
      return this.more ? `${text} ${this.fill(this.texts.more, { count: this.number(this.more) })}` : text;
    },
  },

  async mounted() {
    await this.$nextTick(); // window.path_prefix is set by then
    for (const sheet of ["nicegui-leaflet/leaflet/leaflet.css", "sense311-city/city.css"]) await style(sheet);
    if (this.gone) return;
    this.prefix = window.path_prefix ?? "";
    this.setUpMap();
    this.looks = new MutationObserver(() => this.setLook(lookNow()));
    this.looks.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    this.drawSamples();
    this.watch = new Watch(`${this.prefix}/api/v1/city`, { got: this.got, lost: this.lost });
  },

  updated() {
    this.drawSamples();
  },

  unmounted() {
    this.gone = true;
    this.watch?.end();
    this.looks?.disconnect();
    this.map?.remove();
  },

  methods: {
    setUpMap() {
      const texts = this.texts;
      this.map = L.map(this.$refs.map, {
        center: [0, 0], zoom: 2, minZoom: 2, maxZoom: 19, attributionControl: false, zoomControl: false,
        zoomSnap: this.tiles ? 1 : 0.5,
      });
      L.control.zoom({ zoomInTitle: texts.zoomIn, zoomOutTitle: texts.zoomOut }).addTo(this.map);
      if (this.tiles) L.tileLayer(this.tiles, { maxZoom: 19 }).addTo(this.map);
      this.layer = new CityLayer(this.look).addTo(this.map);
      if (this.startsAt) this.map.setView(this.startsAt.slice(0, 2), this.startsAt[2]);
      this.map.on("click", (event) => this.pickAt(event.containerPoint));
      this.map.on("moveend", this.moved);
      this.map.on("mousemove", this.hover);
      this.$refs.map.addEventListener("keydown", (event) => {
        if (event.target !== this.$refs.map || (event.key !== "Enter" && event.key !== " ")) return;
        event.preventDefault();
        this.pickAt(this.map.getSize().divideBy(2), Math.max(this.map.getSize().x, 400) / 2);
      });
    },

    // -- what the server says -----------------------------------------------------------------

    got(assets, states) {
      if (assets !== null) this.setAssets(assets);
      if (states !== null && this.assets && states.states.length === this.assets.ids.length) {
        this.setStates(states);
      } else if (states === null) {
        this.tellCounts();
      }
    },

    lost(status) {
      const signedOut = status === 401 || status === 403;
      this.line = signedOut ? this.texts.signedOut : this.texts.lost;
    },

    setAssets(assets) {
      const first = !this.assets;
      this.assets = assets;
      this.numbers = new Map(assets.ids.map((id, i) => [id, i]));
      this.layer.setAssets(assets);
      if (first && !this.startsAt) this.showAll();
    },

    setStates(states) {
      this.states = digits(states.states);
      const digitOf = new Map(states.names.map((name, digit) => [name, digit]));
      this.incidents = states.incidents.map((one) => ({ ...one, digit: digitOf.get(one.state) }));
      this.rules = states.rules;
      this.more = states.more;
      this.choices = {
        kind: labelled([...this.assets.kinds, ...this.incidents.map((one) => one.kind)], this.kindName),
        zone: labelled([...this.assets.zones, ...this.incidents.map((one) => one.zone)], (zone) => zone),
        rule: labelled(Object.keys(states.rules), this.titleOf),
      };
      this.refilter(null);
      if (this.picked) this.pick(this.picked.what, false);
    },

    refilter(event) {
      if (!this.states) return;
      const filter = { ...this.filter, states: new Set(this.filter.states) }; // not Vue's: it is asked much
      const chosen = chosenAssets(this.assets, this.states, this.incidents, filter);
      this.shown = chosenIncidents(this.incidents, filter);
      this.layer.setStates(this.states, chosen, this.shown.filter((one) => one.lat_e5 !== null));
      this.listed = chosen.length;
      const every = { ...filter, states: new Set(this.names.keys()) };
      const counts = new Array(this.names.length).fill(0);
      for (const i of chosenAssets(this.assets, this.states, this.incidents, every)) counts[this.states[i]] += 1;
      this.counts = counts;
      this.tellCounts();
      this.list();
      if (event !== null) this.keepInAddress();
    },

    tellCounts() {
      if (!this.shown) return;
      const values = { assets: this.number(this.listed), incidents: this.number(this.shown.length) };
      const line = this.fill(this.texts.line, values);
      if (line === this.line) return;
      this.line = line;
      this.layer.describe(`${this.texts.map}: ${line}`);
    },

    // The incidents in view, and those that nobody knows where to draw.
    list() {
      if (!this.shown) return;
      const bounds = this.map.getBounds();
      const here = this.shown.filter((one) => one.lat_e5 === null ||
        bounds.contains([one.lat_e5 / 1e5, one.long_e5 / 1e5]));
      this.inView = here.length;
      this.rows = here.slice(0, ROWS_MAX);
    },

    // -- the window ---------------------------------------------------------------------------

    moved() {
      clearTimeout(this.settled);
      this.settled = setTimeout(() => {
        this.list();
        this.keepInAddress();
      }, 150);
    },

    showAll() {
      if (!this.assets.ids.length) return;
      const { lat_e5: lats, long_e5: longs } = this.assets;
      let [south, north, west, east] = [Infinity, -Infinity, Infinity, -Infinity];
      for (let i = 0; i < lats.length; i++) {
        south = Math.min(south, lats[i]);
        north = Math.max(north, lats[i]);
        west = Math.min(west, longs[i]);
        east = Math.max(east, longs[i]);
      }
      const all = L.latLngBounds([south / 1e5, west / 1e5], [north / 1e5, east / 1e5]);
      this.map.fitBounds(all.pad(0.05), { maxZoom: START_ZOOM_MAX, animate: false });
    },

    keepInAddress() {
      const { lat, lng } = this.map.getCenter();
      const query = queryOf(this.filter, this.names.length, [lat, lng, this.map.getZoom()]);
      history.replaceState(history.state, "", `${location.pathname}?${query}`);
    },

    setLook(look) {
      if (look === this.look) return;
      this.look = look;
      this.layer.setLook(look);
      this.$nextTick(this.drawSamples);
    },

    hover(event) {
      if (this.hovering) return;
      this.hovering = requestAnimationFrame(() => {
        this.hovering = 0;
        const over = !this.gone && this.layer.at(event.containerPoint) !== null;
        this.$refs.map?.classList.toggle("s-city-over", over);
      });
    },

    // -- filters ------------------------------------------------------------------------------

    toggle(digit) {
      const states = new Set(this.filter.states);
      if (!states.delete(digit)) states.add(digit);
      this.filter.states = states;
      this.refilter();
    },

    clear() {
      this.filter = { kind: "", zone: "", rule: "", states: new Set(this.names.keys()) };
      this.wanted = "";
      this.refilter();
      if (this.assets) this.showAll();
    },

    suggest() {
      const start = this.wanted.trim().toLowerCase();
      this.found = !start || !this.assets ? [] : firsts(this.assets.ids, FOUND_MAX, (id) =>
        id.toLowerCase().startsWith(start));
    },

    find() {
      const i = this.numbers?.get(this.wanted.trim()) ?? this.numbers?.get(this.found[0]);
      if (i === undefined) {
        this.line = this.texts.notFound;
        return;
      }
      this.map.setView([this.assets.lat_e5[i] / 1e5, this.assets.long_e5[i] / 1e5], 18, { animate: false });
      this.pick({ asset: this.assets.ids[i] }, true);
    },

    // -- what was picked ----------------------------------------------------------------------

    pickAt(point, reach) {
      const found = this.layer.at(point, reach);
      if (found === null) {
        this.unpick();
      } else if (found.incidents) {
        this.pick({ incidents: found.incidents.map((one) => one.id) }, true);
      } else if (found.asset !== undefined) {
        this.pick({ asset: this.assets.ids[found.asset] }, true);
      } else {
        const zoom = Math.min(19, Math.max(this.map.getZoom() + 2, 4));
        this.map.fitBounds(this.layer.boundsOf(found.cell).pad(0.2), { maxZoom: zoom });
      }
    },

    goTo(one) {
      this.map.setView([one.lat_e5 / 1e5, one.long_e5 / 1e5], Math.max(this.map.getZoom(), 17), { animate: false });
      this.pick({ incidents: [one.id] }, true);
      this.$refs.panel.scrollIntoView({ block: "nearest" });
    },

    // `what`: an asset, or incidents, by name; whatever of it is still there is shown as it is now.
    pick(what, anew) {
      const shown = what.asset === undefined ? this.incidentsPicked(what) : this.assetPicked(what);
      this.picked = shown;
      if (anew || shown === null) this.layer.pick(shown?.at ?? null);
      if (shown && what.asset !== undefined) this.askMore(what.asset);
    },

    unpick() {
      this.picked = null;
      this.layer.pick(null);
    },

    assetPicked(what) {
      const i = this.numbers.get(what.asset);
      if (i === undefined) return null;
      const kind = this.assets.kinds[this.assets.kind[i]];
      const facts = [
        [this.texts.kind, this.kindName(kind)],
        [this.texts.zone, this.assets.zones[this.assets.zone[i]] || "–"],
        [this.texts.stateLabel, this.texts.state[this.names[this.states[i]]]],
      ];
      const known = this.picked?.what.asset === what.asset ? this.picked : null;
      return {
        what, title: what.asset, facts: known?.address ? [...facts, known.address] : facts,
        address: known?.address, devices: known?.devices ?? [],
        incidents: this.incidents.filter((one) => one.asset === i),
        at: [this.assets.lat_e5[i], this.assets.long_e5[i]],
      };
    },

    incidentsPicked(what) {
      const all = this.incidents.filter((one) => what.incidents.includes(one.id));
      if (all.length === 0) return null;
      const [one] = all;
      const facts = all.length > 1 ? [] : [
        [this.texts.columns[1], one.title],
        [this.texts.columns[2], this.whereOf(one)],
        [this.texts.kind, this.kindName(one.kind)],
        [this.texts.zone, one.zone || "–"],
        [this.texts.stateLabel, this.texts.state[one.state]],
        [this.texts.columns[4], this.time(one.fired_at)],
        ...(one.city_id ? [[this.texts.cityId, one.city_id]] : []),
        ...(one.explains ? [[this.texts.explains, this.number(one.explains)]] : []),
      ];
      const title = all.length > 1 ? this.fill(this.texts.several, { count: this.number(all.length) })
        : this.fill(this.texts.incident, { number: one.id });
      const at = one.lat_e5 === null ? null : [one.lat_e5, one.long_e5];
      return { what, title, facts, devices: [], incidents: all, at };
    },

    async askMore(id) {
      const answer = await fetch(`${this.prefix}/api/v1/city/asset?id=${encodeURIComponent(id)}`)
        .catch(() => null);
      if (!answer?.ok) return;
      const card = await answer.json();
      if (this.picked?.what.asset !== id) return;
      const address = card.address ? [this.texts.columns[2], card.address] : null;
      const facts = address && !this.picked.address ? [...this.picked.facts, address] : this.picked.facts;
      this.picked = { ...this.picked, facts, address, devices: card.devices };
    },

    heardOf(one) {
      const state = this.texts.device[one.state] ?? one.state;
      return one.last_seen ? this.fill(this.texts.heard, { state, time: this.time(one.last_seen) }) : state;
    },

    // -- words --------------------------------------------------------------------------------

    titleOf(rule) {
      return this.rules[rule] ?? rule;
    },

    whereOf(one) {
      return [one.name, one.address].filter(Boolean).join(", ");
    },

    kindName(kind) {
      return this.kinds[kind] ?? kind;
    },

    number(value) {
      return new Intl.NumberFormat(this.language).format(value);
    },

    time(text) {
      const zone = this.timeZone || undefined;
      const form = { dateStyle: "medium", timeStyle: "short", timeZone: zone };
      return new Intl.DateTimeFormat(this.language, form).format(new Date(text));
    },

    fill(text, values) {
      return text.replace(/\{(\w+)\}/g, (hole, name) => values[name] ?? hole);
    },

    // The samples beside the words of the legend are drawn as the map draws them.
    drawSamples() {
      const symbols = new Symbols(this.look, 1);
      for (const canvas of this.$el.querySelectorAll("canvas[data-state], canvas[data-shape]")) {
        const on = canvas.getContext("2d");
        on.clearRect(0, 0, canvas.width, canvas.height);
        const { state, shape } = canvas.dataset;
        if (state !== undefined) symbols.asset(on, "streetlight", Number(state), 13, 13);
        else symbols.sample(on, shape, this.names.indexOf("fault"));
      }
    },
  },
};

function lookNow() {
  return document.body.classList.contains("body--dark") ? "dark" : "light";
}

function labelled(names, label) {
  const known = [...new Set(names)].filter(Boolean).map((name) => [name, label(name)]);
  return known.sort((a, b) => a[1].localeCompare(b[1], undefined, { numeric: true }));
}

function firsts(all, count, is) {
  const found = [];
  for (const one of all) {
    if (is(one) && found.push(one) === count) break;
  }
  return found;
}

function style(name) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = import.meta.resolve(name);
  if (document.querySelector(`link[href="${link.href}"]`)) return Promise.resolve();
  return new Promise((resolve) => {
    link.onload = link.onerror = resolve;
    document.head.append(link);
  });
}
