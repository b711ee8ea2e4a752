// Writes the page anew before the first test. Tests have time limits, within which no compiler should have to run.
import { generator } from "./browser.mjs";

export default () => {
  if (!process.env.PAGE_IS_WRITTEN) generator([], { stdio: "inherit" });
};
