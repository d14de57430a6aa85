// node report.mjs BASE STUDY_INSTANCE_UID MEASUREMENTS OUT
// Opens the SR of a study in OHIF and steps through its measurements. Prints as JSON what the page says and draws at each; the pictures
// are OUT0.png, OUT1.png …
import { chromium } from 'playwright-core';

const [base, study, measurements, out] = process.argv.slice(2);
const gl = ['--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist'];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage', ...gl] });
const page = await browser.newPage({ viewport: { width: 1500, height: 900 } });
const answer = { listed: '', steps: [], errors: [] };
page.on('pageerror', (error) => answer.errors.push(String(error).slice(0, 300)));
page.setDefaultTimeout(60000);

// The Instance Number in the corner, the words and the outlines over the image; places in pixels of the page.
const look = () => {
  const box = ({ x, y, width, height }) => ({ x, y, width, height });
  const layer = document.querySelector('svg.svg-layer');
  const drawn = (selector) => [...(layer?.querySelectorAll(selector) ?? [])];
  return {
    instance: document.body.innerText.match(/I:\s*(\d+) \(\d+\/\d+\)/)?.[1] ?? null,
    drawn: layer?.textContent ?? '',
    text: drawn('text').map((text) => [...text.children].map((line) => line.textContent).join('\n')),
    outlines: drawn('polyline, path, polygon').map((shape) => box(shape.getBoundingClientRect())),
    viewport: box(document.querySelector('.cornerstone-canvas').getBoundingClientRect()),
  };
};
// Two measurements on one slice are seen at once: then nothing changes.
const settled = (before) => page.waitForFunction(([instance, text]) => {
  const shown = document.body.innerText.match(/I:\s*(\d+) \(/)?.[1];
  const drawn = document.querySelector('svg.svg-layer')?.textContent ?? '';
  return shown && shown !== instance && drawn.includes('Volume') && drawn !== text;
}, [before.instance, before.drawn], { timeout: before.instance ? 10000 : 60000 }).catch((error) => { if (!before.instance) throw error; });

try {
  await page.goto(`${base}/viewer?StudyInstanceUIDs=${study}`, { waitUntil: 'domcontentloaded' });
  await page.waitForFunction(() => /I:\s*\d+ \(/.test(document.body.innerText)); // the source is shown
  await page.click('text=Skip all', { timeout: 5000 }).catch(() => {}); // the tour of new users
  answer.listed = await page.innerText('body');
  const label = page.locator('[data-cy="series-modality-label"]', { hasText: /^SR$/ });
  await page.locator('[data-cy="study-browser-thumbnail-no-image"]', { has: label }).dblclick();
  for (let step = {}; answer.steps.length < Number(measurements);) {
    await settled(step);
    step = await page.evaluate(look);
    await page.screenshot({ path: `${out}${answer.steps.length}.png` });
    answer.steps.push(step);
    if (answer.steps.length < Number(measurements)) await page.click('[data-cy="viewport-action-arrows-right"]');
  }
} catch (error) {
  answer.errors.push(String(error).slice(0, 300));
  await page.screenshot({ path: `${out}-failed.png` });
}
console.log(JSON.stringify(answer));
await browser.close();
