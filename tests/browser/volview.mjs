// node volview.mjs ADDRESS OUT.png
// Opens files in VolView and lists the segments. Prints as JSON what the page says and where the axial view lies.
import { chromium } from 'playwright-core';

const [address, out] = process.argv.slice(2);
const gl = ['--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist'];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage', ...gl] });
const page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
const answer = { text: '', view: null, errors: [] };
page.on('pageerror', (error) => answer.errors.push(String(error).slice(0, 300)));
page.setDefaultTimeout(60000);
await page.route((url) => url.hostname !== '127.0.0.1', (route) => route.abort()); // fonts from elsewhere

try {
  await page.goto(address, { waitUntil: 'domcontentloaded' });
  await page.waitForFunction(() => /Slice: \d+\/\d+/.test(document.body.innerText));
  await page.waitForFunction(() => document.body.innerText.includes('segmentation SEG'));
  await page.click('text=ANNOTATIONS', { force: true });
  // The group of segments lists them once it is chosen; the list of files is hidden now.
  const group = page.locator('.v-list-item, .v-card, [role="option"], label, li', { hasText: 'segmentation SEG' });
  await group.locator('visible=true').last().click({ force: true, timeout: 30000 });
  await page.waitForFunction(() => document.body.innerText.includes('Left lung'), null, { timeout: 20000 });
  answer.text = await page.innerText('body');
  answer.view = await page.locator('[data-testid="two-view-container"]').first().boundingBox();
  await page.screenshot({ path: out, timeout: 200000 });
} catch (error) {
  answer.errors.push(String(error).slice(0, 300));
  answer.text = await page.innerText('body');
  await page.screenshot({ path: out, timeout: 100000 });
}
console.log(JSON.stringify(answer));
await browser.close();
