// The parts of the map, under one name.

export { Watch } from "sense311-city/watch.js";
export { CityLayer } from "sense311-city/layer.js";
export { Symbols } from "sense311-city/symbols.js";
export { chosenAssets, chosenIncidents, digits, filterOf, queryOf } from "sense311-city/grid.js";
export { TEMPLATE } from "sense311-city/template.js";
