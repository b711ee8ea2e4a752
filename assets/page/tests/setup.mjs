// Writes the page anew before the first test. Tests have time limits, within which no compiler should have to run.
import { generator } from "./browser.mjs";

export default () => generator([], { stdio: "inherit" });
