export { nice, tickStep, ticks } from "d3-array";
