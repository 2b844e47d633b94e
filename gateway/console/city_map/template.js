// What stands on the page around the map. Vue puts in whatever stands for a thing as text.

export const TEMPLATE = `
<div class="s-city" :class="'s-city-' + look">
  <form class="s-city-bar" :aria-label="texts.filters" @submit.prevent="find">
    <label v-for="key in ['kind', 'zone', 'rule']" :key="key">{{ texts[key] }}
      <select v-model="filter[key]" @change="refilter">
        <option value="">{{ texts.all }}</option>
        <option v-for="one in choices[key]" :key="one[0]" :value="one[0]">{{ one[1] }}</option>
      </select>
    </label>
    <label class="s-city-find">{{ texts.find }}
      <input v-model="wanted" type="search" maxlength="128" autocomplete="off" list="s-city-found"
        @input="suggest">
      <datalist id="s-city-found"><option v-for="id in found" :key="id" :value="id"></option></datalist>
    </label>
    <button type="submit">{{ texts.show }}</button>
    <button type="button" @click="clear">{{ texts.clear }}</button>
  </form>
  <fieldset class="s-city-states">
    <legend>{{ texts.states }}</legend>
    <label v-for="(name, digit) in names" :key="name">
      <input type="checkbox" :checked="filter.states.has(digit)" @change="toggle(digit)">
      <canvas :data-state="digit" width="26" height="26" aria-hidden="true"></canvas>
      {{ texts.state[name] }} <span class="s-city-count">{{ number(counts[digit] ?? 0) }}</span>
    </label>
  </fieldset>
  <p class="s-city-line" role="status">{{ line }}</p>
  <div class="s-city-both">
    <div class="s-city-stage">
      <div ref="map" class="s-city-map" role="application" :aria-label="texts.map"
        aria-describedby="s-city-keys"></div>
      <div class="s-city-cross" aria-hidden="true"></div>
      <p v-if="credit" class="s-city-credit">{{ credit }}</p>
      <p id="s-city-keys" class="s-quiet s-city-keys">{{ texts.keys }}</p>
    </div>
    <section ref="panel" class="s-city-panel" :aria-label="texts.picked" aria-live="polite">
      <template v-if="picked">
        <h2 class="s-h2">{{ picked.title }}</h2>
        <dl class="s-facts">
          <template v-for="fact in picked.facts" :key="fact[0]"><dt>{{ fact[0] }}</dt><dd>{{ fact[1] }}</dd></template>
        </dl>
        <ul v-if="picked.incidents.length" class="s-city-list">
          <li v-for="one in picked.incidents" :key="one.id">
            <a :href="'/incidents/' + one.id">{{ fill(texts.incident, { number: one.id }) }}</a>
            {{ one.title }} · {{ texts.state[one.state] }}
          </li>
        </ul>
        <template v-if="picked.devices.length">
          <h3 class="s-h3">{{ texts.devices }}</h3>
          <ul class="s-city-list">
            <li v-for="one in picked.devices" :key="one.device">
              <a :href="'/devices/' + encodeURIComponent(one.device)">{{ one.device }}</a> {{ heardOf(one) }}
            </li>
          </ul>
        </template>
        <button type="button" @click="unpick">{{ texts.close }}</button>
      </template>
      <template v-else>
        <h2 class="s-h2">{{ texts.legend }}</h2>
        <ul class="s-city-legend">
          <li v-for="one in legend" :key="one[0]">
            <canvas :data-shape="one[0]" width="36" height="42" aria-hidden="true"></canvas> {{ one[1] }}
          </li>
        </ul>
      </template>
    </section>
  </div>
  <h2 class="s-h2">{{ texts.open }}</h2>
  <p class="s-quiet">{{ summary }}</p>
  <table v-if="rows.length" class="s-table" :aria-label="texts.open">
    <thead><tr><th v-for="name in texts.columns" :key="name" scope="col">{{ name }}</th></tr></thead>
    <tbody>
      <tr v-for="one in rows" :key="one.id">
        <td :data-label="texts.columns[0]">
          <a :href="'/incidents/' + one.id">{{ fill(texts.incident, { number: one.id }) }}</a></td>
        <td :data-label="texts.columns[1]">{{ one.title }}</td>
        <td :data-label="texts.columns[2]">{{ whereOf(one) }}</td>
        <td :data-label="texts.columns[3]">{{ texts.state[one.state] }}</td>
        <td :data-label="texts.columns[4]">{{ time(one.fired_at) }}</td>
        <td :data-label="texts.columns[5]">
          <button v-if="one.lat_e5 !== null" type="button" @click="goTo(one)"
            :aria-label="fill(texts.showOne, { number: one.id })">{{ texts.show }}</button></td>
      </tr>
    </tbody>
  </table>
</div>`;
