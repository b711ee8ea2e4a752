// The page's script: all views, then the first place.
import "./theme.js";
import "./views.js";
import "./search.js";
import "./keyboard.js";
import "./terms.js";
import "./address.js";
import { startAfter } from "./after.js";
import { tell } from "./fragment.js";
import { startLetter } from "./letter.js";
import { startOpened } from "./opened.js";
import { startStep } from "./step.js";
import { startTimeline } from "./timeline.js";
import { startTour } from "./tour.js";

startTimeline();
startAfter();
startOpened();
startStep();
startLetter();
startTour();

tell(true);
