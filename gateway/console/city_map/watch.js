// What the page asks the server: the assets once, and once a second whether anything is new. A page that
// nobody sees asks nothing. Tells of what it got, and of what went wrong.

const PAUSE_MS = 1000;

export class Watch {
  // `told`: got(assets or null, states), lost(status; 0: nobody answers).
  constructor(address, told) {
    this.address = address;
    this.told = told;
    this.tags = {};
    this.version = "";
    this.ended = false;
    this.seen = () => !document.hidden && this.now();
    document.addEventListener("visibilitychange", this.seen);
    this.now();
  }

  end() {
    this.ended = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.seen);
  }

  now() {
    clearTimeout(this.timer);
    if (this.ended || this.asking || document.hidden) return;
    this.asking = true;
    this.look()
      .catch((error) => this.told.lost(error.status ?? 0))
      .finally(() => {
        this.asking = false;
        if (!this.ended) this.timer = setTimeout(() => this.now(), PAUSE_MS);
      });
  }

  async look() {
    const states = await this.get("states");
    if (this.ended) return;
    if (states === null) {
      this.told.got(null, null);
      return;
    }
    let assets = null;
    if (states.assets_version !== this.version) {
      delete this.tags.assets;
      assets = await this.get("assets");
      if (this.ended) return;
      this.version = assets.version;
      if (assets.version !== states.assets_version) delete this.tags.states;
    }
    this.told.got(assets, states);
  }

  // Null: what is known is still so.
  async get(part) {
    const known = this.tags[part] ? `?known=${this.tags[part]}` : "";
    const answer = await fetch(`${this.address}/${part}${known}`, { cache: "no-store" });
    if (answer.status === 204) return null;
    if (!answer.ok) throw Object.assign(new Error(`HTTP ${answer.status}`), { status: answer.status });
    const found = await answer.json();
    this.tags[part] = (answer.headers.get("ETag") ?? "").replaceAll('"', "");
    return found;
  }
}
