"""Term lists that come with the program: spam, and notices that pages leave in their text. All lower-case.

They are starting points for counts and flags, not verdicts: a project adds its own lists, and no rule that drops
looks at these by default.
"""

from types import MappingProxyType
from typing import Final

from pipelines.core.fingerprint import Algorithm

TERM_LISTS: Final = Algorithm("term_lists", 1)

_SPAM = """
buy now, order now, click here, limited time offer, act now, free shipping, best price, lowest price,
money back guarantee, risk free, no prescription, online pharmacy, cheap viagra, viagra, cialis, payday loan,
payday loans, online casino, casino bonus, free spins, slot machine, sports betting, forex signals, binary options,
earn money online, make money fast, work from home, weight loss pills, replica watches, essay writing service,
buy followers, backlinks, seo services, escort service, live sex cams, adult dating, 100% free, winner winner,
claim your prize, crypto giveaway, 加微信, 加qq, 微信号, 扫码关注, 免费领取, 立即购买, 点击购买, 限时优惠, 包邮,
代开发票, 办证, 刷单, 兼职日结, 网上赌场, 真人娱乐, 博彩, 彩票投注, 六合彩, 时时彩, 澳门赌场, 百家乐, 老虎机,
棋牌游戏平台, 贷款秒批, 无抵押贷款, 信用卡套现, 代写论文, 私服, 外挂下载, 成人视频, 裸聊, 一夜情, 约炮, 祛斑, 丰胸,
壮阳, 增大增粗, 减肥产品, 招商加盟, 厂家直销, 批发价格, 欢迎来电咨询, 咨询热线, 免费试用, 注册送
"""
_NOTICES = """
javascript is disabled, javascript is not enabled, enable javascript, turn on javascript, requires javascript,
javascript must be enabled, your browser does not support, please update your browser, this site uses cookies,
this website uses cookies, we use cookies, accept all cookies, accept cookies, cookie settings, cookie preferences,
cookie policy, by continuing to use this site, all rights reserved, skip to content, skip to main content,
skip to navigation, back to top, powered by wordpress, page not found, 404 not found, access denied,
please enable cookies, sign up for our newsletter, subscribe to our newsletter, share on facebook,
share on twitter, terms of service, terms of use, privacy policy, leave a comment, add to cart, are you a robot,
verify you are human, checking your browser, loading..., 请启用javascript, 浏览器不支持, 请升级浏览器,
本网站使用cookie, 使用cookie, 版权所有, 返回顶部, 跳至内容, 隐私政策, 服务条款, 免责声明, 未经授权禁止转载,
转载请注明出处, 上一篇, 下一篇, 相关推荐, 猜你喜欢, 登录后查看, 关注公众号, 扫一扫, 分享到朋友圈, 加入购物车,
页面不存在, 网站地图, 友情链接, 京icp备
"""


def _terms(text: str) -> tuple[str, ...]:
    return tuple(sorted({term.strip() for term in text.replace("\n", " ").split(",") if term.strip()}))


BUILTIN: Final = MappingProxyType({"spam": _terms(_SPAM), "notices": _terms(_NOTICES)})
